package android.content.pm;

/** What the sample uses of it. */
public abstract class PackageManager {
    public static final int PERMISSION_GRANTED = 0;
}
