package bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The file in which this process tells how far it is, as JSON lines; see tests/benchmarks/process.py. */
final class Status {
    private final Path file;

    Status(Path file) {
        this.file = file;
    }

    /** Append an event; `more` is the inside of a JSON object, empty for none. */
    synchronized void tell(String event, String more) {
        String line = "{\"event\": \"%s\", \"at\": %.6f%s}%n".formatted(
                event, System.currentTimeMillis() / 1000.0, more.isEmpty() ? "" : ", " + more);
        System.out.print(line);
        try {
            Files.writeString(file, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
