// SPDX-License-Identifier: Apache-2.0
// A Java producer with default settings that numbers its records and remembers what became of each.
//
//   java -cp 'jars/*' SequenceProducer.java BOOTSTRAP TOPIC NUMBER HISTORY RATE
//
// Runs until its standard input is closed, then waits for what is under way. Values, history and times are those of
// Tests/SystemTests/Clients/sequence_load.py.

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class SequenceProducer {
    private static volatile boolean stopped = false;

    public static void main(String[] words) throws Exception {
        String topic = words[1];
        int number = Integer.parseInt(words[2]);
        double rate = Double.parseDouble(words[4]);
        Thread reader = new Thread(() -> {
            try {
                System.in.transferTo(java.io.OutputStream.nullOutputStream());
            } catch (IOException ended) {
                System.err.println(ended);
            }
            stopped = true;
        });
        reader.setDaemon(true);
        reader.start();
        AtomicLong acked = new AtomicLong();
        AtomicLong failed = new AtomicLong();
        byte[] filling = "godwit ".repeat(20).getBytes(StandardCharsets.UTF_8);
        long sent = 0;
        try (BufferedWriter history = Files.newBufferedWriter(Path.of(words[3]))) {
            // What a program has to say, and nothing else: all other settings are the client's defaults.
            Map<String, Object> settings = Map.of(
                "bootstrap.servers", words[0],
                "key.serializer", ByteArraySerializer.class,
                "value.serializer", ByteArraySerializer.class);
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
                long start = System.nanoTime();
                long reported = start;
                while (!stopped) {
                    long now = System.nanoTime();
                    long due = (long) ((now - start) / 1e9 * rate);
                    while (sent < due && !stopped) {
                        byte[] value = value(number, sent, filling);
                        long sequence = sent++;
                        producer.send(new ProducerRecord<>(topic, value), (metadata, error) -> {
                            String line = error == null
                                ? "acked\t%d\t%d\t%d\t%d\t%d\n".formatted(microseconds(), number, sequence,
                                    metadata.partition(), metadata.offset())
                                : "failed\t%d\t%d\t%d\t%s\n".formatted(microseconds(), number, sequence,
                                    error.toString().replaceAll("[\t\n]", " "));
                            (error == null ? acked : failed).incrementAndGet();
                            write(history, line);
                        });
                    }
                    if (now - reported >= 100_000_000) {
                        reported = now;
                        System.out.printf("acked %d failed %d%n", acked.get(), failed.get());
                    }
                    Thread.sleep(2);
                }
            }
            write(history, "done\t%d\t%d\t%d\n".formatted(microseconds(), number, sent));
        }
        System.out.printf("acked %d failed %d%n", acked.get(), failed.get());
    }

    private static byte[] value(int number, long sequence, byte[] filling) {
        byte[] head = (number + ":" + sequence + ":").getBytes(StandardCharsets.UTF_8);
        byte[] value = java.util.Arrays.copyOf(head, head.length + filling.length);
        System.arraycopy(filling, 0, value, head.length, filling.length);
        return value;
    }

    private static void write(BufferedWriter history, String line) {
        try {
            synchronized (history) {
                history.write(line);
            }
        } catch (IOException error) {
            // A history with a hole proves nothing.
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static long microseconds() {
        return System.nanoTime() / 1000;
    }
}
