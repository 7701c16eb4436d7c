package android.content.pm;

/** What the README uses of it. */
public class ApplicationInfo {
    public String nativeLibraryDir;
}
