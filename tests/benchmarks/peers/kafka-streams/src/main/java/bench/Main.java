package bench;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The benchmark's work on Kafka Streams, one thread: `bench.Main at-least-once|exactly-once VERSION`. */
public final class Main {
    private static final Duration STOP = Duration.ofSeconds(8);

    private Main() {}

    /** Work until SIGTERM. */
    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> env = System.getenv();
        String found = AppInfoParser.getVersion();
        if (!found.equals(arguments[1])) {
            System.err.println("kafka-streams is " + found + ", not " + arguments[1]);
            System.exit(1);
        }
        boolean exactly = arguments[0].equals("exactly-once");
        Status status = new Status(Path.of(env.get("BENCH_STATUS")));
        String name = exactly ? "kafka-streams-eos" : "kafka-streams";
        status.tell("started", "\"engine\": \"%s\", \"version\": \"%s\"".formatted(name, found));

        Restores restores = new Restores();
        KafkaStreams streams = new KafkaStreams(topology(env.get("BENCH_PREFIX")), settings(env, exactly));
        CountDownLatch ended = new CountDownLatch(1);
        AtomicBoolean told = new AtomicBoolean();
        streams.setGlobalStateRestoreListener(restores);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING && told.compareAndSet(false, true)) {
                long keys = keys(streams, PersonProcessor.STORE) + keys(streams, HomeProcessor.STORE);
                status.tell("restored", "\"seconds\": %.6f, \"keys\": %d, \"records\": %d".formatted(
                        restores.seconds(), keys, restores.records()));
                status.tell("ready", "");
            } else if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
                ended.countDown();
            }
        });
        AtomicBoolean asked = new AtomicBoolean();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            asked.set(true);
            streams.close(STOP);
        }, "stop"));
        streams.start();
        ended.await();
        if (!asked.get()) {
            Runtime.getRuntime().halt(1); // a fault; the hook would wait for what is gone
        }
    }

    private static Topology topology(String prefix) {
        String contributions = prefix + ".contribution";
        Topology topology = new Topology();
        topology.addSource("facts", "bench.member.v1", "bench.payment.v1");
        topology.addProcessor("person", PersonProcessor::new, "facts");
        topology.addStateStore(store(PersonProcessor.STORE), "person");
        topology.addSink("tell", contributions, "person");
        topology.addSource("contributions", contributions);
        topology.addProcessor("home", HomeProcessor::new, "contributions");
        topology.addStateStore(store(HomeProcessor.STORE), "home");
        topology.addSink("alert", prefix + ".alert", "home");
        return topology;
    }

    private static StoreBuilder<KeyValueStore<byte[], byte[]>> store(String name) {
        Serde<byte[]> bytes = Serdes.ByteArray();
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), bytes, bytes)
                .withLoggingEnabled(Map.of())
                .withCachingEnabled(); // fewer writes to RocksDB and to the changelog
    }

    private static Properties settings(Map<String, String> env, boolean exactly) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, env.get("BENCH_PREFIX"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env.get("BENCH_BOOTSTRAP"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, env.get("BENCH_STATE_DIR"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, env.getOrDefault("BENCH_THREADS", "1"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
                exactly ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L * 1024 * 1024);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // Streams stays in its group when it is closed, so that one started again waits for the session's end.
        settings.put(StreamsConfig.consumerPrefix("internal.leave.group.on.close"), true);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 20);
        return settings;
    }

    private static long keys(KafkaStreams streams, String store) {
        return streams.store(StoreQueryParameters.fromNameAndType(store, QueryableStoreTypes.keyValueStore()))
                .approximateNumEntries();
    }
}
