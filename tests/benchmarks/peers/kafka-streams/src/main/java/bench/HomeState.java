package bench;

import java.util.HashMap;
import java.util.Map;

/** One household: what each person brings, and the alert that left last; see HomeState in workload.py. */
final class HomeState {
    /** What one person brings. */
    record Part(long sequence, boolean live, long incomeFen, long paidFen) {}

    long episode;
    long revision;
    boolean live;
    long amountFen;
    final Map<String, Part> people;

    HomeState() {
        people = new HashMap<>();
    }

    HomeState(byte[] data) {
        Reader in = new Reader(data, 0);
        episode = in.readLong();
        revision = in.readLong();
        live = in.readBoolean();
        amountFen = in.readLong();
        int number = in.readInt();
        people = new HashMap<>((number + 1) * 4 / 3 + 1);
        for (int i = 0; i < number; i++) {
            people.put(in.readString(), new Part(in.readLong(), in.readBoolean(), in.readLong(), in.readLong()));
        }
    }

    byte[] bytes(Writer out) {
        out.plain().writeLong(episode).writeLong(revision).writeBoolean(live).writeLong(amountFen);
        out.writeLong(people.size());
        people.forEach((person, held) -> out.writeString(person).writeLong(held.sequence).writeBoolean(held.live)
                .writeLong(held.incomeFen).writeLong(held.paidFen));
        return out.bytes();
    }
}
