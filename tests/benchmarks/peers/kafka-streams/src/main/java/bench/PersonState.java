package bench;

import java.util.HashMap;
import java.util.Map;

/** One person: payments by record id, the membership, and what the household was told; see PersonState in workload.py. */
final class PersonState {
    /** One payment; month is -1 once it was taken back. */
    record Payment(long version, int month, long amountFen) {}

    long sequence;
    long memberVersion;
    String household = "";
    long incomeFen;
    String saidHousehold = "";
    long saidIncome;
    long saidPaid;
    final Map<String, Payment> payments;

    PersonState() {
        payments = new HashMap<>();
    }

    PersonState(byte[] data) {
        Reader in = new Reader(data, 0);
        sequence = in.readLong();
        memberVersion = in.readLong();
        household = in.readString();
        incomeFen = in.readLong();
        saidHousehold = in.readString();
        saidIncome = in.readLong();
        saidPaid = in.readLong();
        int number = in.readInt();
        payments = new HashMap<>((number + 1) * 4 / 3 + 1);
        for (int i = 0; i < number; i++) {
            payments.put(in.readString(), new Payment(in.readLong(), in.readInt(), in.readLong()));
        }
    }

    byte[] bytes(Writer out) {
        out.plain().writeLong(sequence).writeLong(memberVersion).writeString(household).writeLong(incomeFen);
        out.writeString(saidHousehold).writeLong(saidIncome).writeLong(saidPaid).writeLong(payments.size());
        payments.forEach((id, held) ->
                out.writeString(id).writeLong(held.version).writeLong(held.month).writeLong(held.amountFen));
        return out.bytes();
    }

    /** The amount of the newest month, of equal months the larger. */
    long paid() {
        int month = Integer.MIN_VALUE;
        long amount = 0;
        for (Payment held : payments.values()) {
            if (held.month > month || held.month == month && held.amountFen > amount) {
                month = held.month;
                amount = held.amountFen;
            }
        }
        return amount;
    }
}
