package bench;

import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Stage 2, HomeStep of workload.py for one record: fold what persons bring, decide, open or take back an alert. */
final class HomeProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "home-state";
    private static final int FRAME = 5;
    private static final int ALERT = 4;
    private static final long LINE_FEN = 100_000;

    private final Writer out = new Writer();
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> store;

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
        context = given;
        store = given.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> input) {
        Reader in = new Reader(input.value(), FRAME);
        String household = in.readString();
        String person = in.readString();
        long sequence = in.readLong();
        byte[] known = store.get(input.key());
        HomeState state = known == null ? new HomeState() : new HomeState(known);
        HomeState.Part held = state.people.get(person);
        if (held != null && sequence <= held.sequence()) {
            return;
        }
        state.people.put(person, new HomeState.Part(sequence, in.readBoolean(), in.readLong(), in.readLong()));
        decide(input, household, state, in.readLong());
        store.put(input.key(), state.bytes(out));
    }

    private void decide(Record<byte[], byte[]> input, String household, HomeState state, long causedAt) {
        int heads = 0;
        long has = 0;
        for (HomeState.Part part : state.people.values()) {
            if (part.live()) {
                heads++;
                has += part.incomeFen() + part.paidFen();
            }
        }
        long gap = Math.max(0, LINE_FEN * heads - has);
        String told;
        if (gap > 0 && !state.live) {
            state.episode++;
            state.revision = 1;
            told = "OPEN";
        } else if (gap > 0 && gap != state.amountFen) {
            state.revision++;
            told = "AMENDED";
        } else if (gap == 0 && state.live) {
            state.revision++;
            told = "WITHDRAWN";
        } else {
            return;
        }
        state.live = gap > 0;
        state.amountFen = gap;
        out.frame(ALERT).writeString(household).writeLong(state.episode).writeLong(state.revision).writeString(told);
        out.writeLong(gap).writeLong(heads).writeLong(causedAt);
        context.forward(input.withValue(out.bytes()));
    }
}
