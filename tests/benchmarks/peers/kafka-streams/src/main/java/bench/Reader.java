package bench;

import java.nio.charset.StandardCharsets;

/** Reads Avro's binary encoding: zigzag varints, length-prefixed UTF-8, one byte for a boolean. */
final class Reader {
    private final byte[] data;
    private int at;

    Reader(byte[] data, int at) {
        this.data = data;
        this.at = at;
    }

    long readLong() {
        long value = 0;
        int shift = 0;
        byte next;
        do {
            next = data[at++];
            value |= (next & 0x7FL) << shift;
            shift += 7;
        } while (next < 0);
        return (value >>> 1) ^ -(value & 1);
    }

    int readInt() {
        return (int) readLong();
    }

    boolean readBoolean() {
        return data[at++] != 0;
    }

    String readString() {
        int length = readInt();
        String value = new String(data, at, length, StandardCharsets.UTF_8);
        at += length;
        return value;
    }

    void skipString() {
        int length = readInt(); // moves `at`, so before it is added to
        at += length;
    }
}
