package bench;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes Avro's binary encoding. One object serves one thread and is used again for each value. */
final class Writer {
    private byte[] data = new byte[1024];
    private int at;

    /** Begin a value with Confluent's frame: 0x00 and the schema's id. */
    Writer frame(int schema) {
        at = 0;
        room(5);
        data[at++] = 0;
        data[at++] = (byte) (schema >>> 24);
        data[at++] = (byte) (schema >>> 16);
        data[at++] = (byte) (schema >>> 8);
        data[at++] = (byte) schema;
        return this;
    }

    /** Begin a value without a frame. */
    Writer plain() {
        at = 0;
        return this;
    }

    Writer writeLong(long value) {
        room(10);
        long left = (value << 1) ^ (value >> 63);
        while ((left & ~0x7FL) != 0) {
            data[at++] = (byte) (left | 0x80);
            left >>>= 7;
        }
        data[at++] = (byte) left;
        return this;
    }

    Writer writeBoolean(boolean value) {
        room(1);
        data[at++] = (byte) (value ? 1 : 0);
        return this;
    }

    Writer writeString(String value) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        writeLong(bytes.length);
        room(bytes.length);
        System.arraycopy(bytes, 0, data, at, bytes.length);
        at += bytes.length;
        return this;
    }

    byte[] bytes() {
        return Arrays.copyOf(data, at);
    }

    private void room(int bytes) {
        if (at + bytes > data.length) {
            data = Arrays.copyOf(data, Math.max(2 * data.length, at + bytes));
        }
    }
}
