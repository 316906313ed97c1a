package bench;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.processor.StateRestoreListener;

/** Measures how long stores were restored, from the first that began to the last that ended, and how many records. */
final class Restores implements StateRestoreListener {
    private long began;
    private long ended;
    private long records;

    @Override
    public synchronized void onRestoreStart(TopicPartition place, String store, long from, long to) {
        if (began == 0) {
            began = System.nanoTime();
        }
    }

    @Override
    public void onBatchRestored(TopicPartition place, String store, long to, long number) {
        // only the whole is told
    }

    @Override
    public synchronized void onRestoreEnd(TopicPartition place, String store, long number) {
        records += number;
        ended = System.nanoTime();
    }

    synchronized double seconds() {
        return (ended - began) / 1e9;
    }

    synchronized long records() {
        return records;
    }
}
