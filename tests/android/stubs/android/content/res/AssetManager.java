package android.content.res;

import android.os.ParcelFileDescriptor;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Map;

/** Assets that lie one behind the other in one file, as in a package. */
public final class AssetManager {
    /** Where an asset lies; {@code isCompressed} as most are. */
    public record Entry(long offset, long length, boolean isCompressed) {}

    /** The length of an asset that cannot be read. */
    public static final long UNREADABLE = -1;

    private final File file;
    private final Map<String, Entry> entries;

    public AssetManager(File file, Map<String, Entry> entries) {
        this.file = file;
        this.entries = entries;
    }

    public String[] list(String path) throws IOException {
        String prefix = path.isEmpty() ? "" : path + "/";
        return entries.keySet().stream()
                .filter(name -> name.startsWith(prefix))
                .map(name -> name.substring(prefix.length()))
                .toArray(String[]::new);
    }

    public AssetFileDescriptor openFd(String name) throws IOException {
        Entry entry = entries.get(name);
        if (entry == null || entry.isCompressed()) {
            throw new FileNotFoundException(
                    "This file can not be opened as a file descriptor; it is probably compressed");
        }
        if (entry.length() == UNREADABLE) {
            throw new IOException("a broken package");
        }
        return new AssetFileDescriptor(new ParcelFileDescriptor(file), entry.offset(), entry.length());
    }
}
