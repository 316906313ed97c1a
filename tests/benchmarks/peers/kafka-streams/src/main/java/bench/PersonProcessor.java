package bench;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Stage 1, PersonStep of workload.py for one record: fold memberships and payments, tell the household. */
final class PersonProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "person-state";
    private static final int FRAME = 5;
    private static final int MEMBER = 1;
    private static final int CONTRIBUTION = 3;

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
        byte[] value = input.value();
        Reader in = new Reader(value, FRAME);
        in.skipString(); // source
        String recordId = in.readString();
        long version = in.readLong();
        boolean annulled = in.readBoolean();
        String person = in.readString();
        long causedAt = in.readLong();
        byte[] known = store.get(input.key());
        PersonState state = known == null ? new PersonState() : new PersonState(known);
        if (value[FRAME - 1] == MEMBER) {
            if (version <= state.memberVersion) {
                return;
            }
            String household = in.readString();
            state.memberVersion = version;
            state.household = annulled ? "" : household;
            state.incomeFen = annulled ? 0 : in.readLong();
        } else {
            PersonState.Payment held = state.payments.get(recordId);
            if (held != null && version <= held.version()) {
                return;
            }
            state.payments.put(recordId, annulled
                    ? new PersonState.Payment(version, -1, 0)
                    : new PersonState.Payment(version, in.readInt(), in.readLong()));
        }
        tell(input, person, state, causedAt);
        store.put(input.key(), state.bytes(out));
    }

    private void tell(Record<byte[], byte[]> input, String person, PersonState state, long causedAt) {
        boolean member = !state.household.isEmpty();
        long income = member ? state.incomeFen : 0;
        long paid = member ? state.paid() : 0;
        String before = state.saidHousehold;
        if (before.equals(state.household) && state.saidIncome == income && state.saidPaid == paid) {
            return;
        }
        state.sequence++;
        if (!before.isEmpty() && !before.equals(state.household)) {
            forward(input, before, person, state.sequence, false, 0, 0, causedAt);
        }
        if (member) {
            forward(input, state.household, person, state.sequence, true, income, paid, causedAt);
        }
        state.saidHousehold = state.household;
        state.saidIncome = income;
        state.saidPaid = paid;
    }

    private void forward(
            Record<byte[], byte[]> input, String household, String person, long sequence, boolean live, long income,
            long paid, long causedAt) {
        out.frame(CONTRIBUTION).writeString(household).writeString(person).writeLong(sequence).writeBoolean(live);
        out.writeLong(income).writeLong(paid).writeLong(causedAt);
        byte[] key = household.getBytes(StandardCharsets.UTF_8);
        context.forward(input.withKey(key).withValue(out.bytes()));
    }
}
