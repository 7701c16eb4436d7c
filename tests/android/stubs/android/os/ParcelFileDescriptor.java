package android.os;

import java.io.Closeable;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.util.concurrent.atomic.AtomicInteger;

/** A file's descriptor, with its number: the Java VM needs {@code --add-opens java.base/java.io=ALL-UNNAMED}. */
public class ParcelFileDescriptor implements Closeable {
    /** How many are open. */
    public static final AtomicInteger OPEN = new AtomicInteger();

    private final FileInputStream stream;

    public ParcelFileDescriptor(File file) throws IOException {
        stream = new FileInputStream(file);
        OPEN.incrementAndGet();
    }

    public int getFd() {
        try {
            Field number = FileDescriptor.class.getDeclaredField("fd");
            number.setAccessible(true);
            return number.getInt(stream.getFD());
        } catch (ReflectiveOperationException | IOException failure) {
            throw new IllegalStateException(failure);
        }
    }

    @Override
    public void close() throws IOException {
        stream.close();
        OPEN.decrementAndGet();
    }
}
