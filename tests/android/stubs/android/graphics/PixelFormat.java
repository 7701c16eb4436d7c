package android.graphics;

/** What the library uses of it. */
public class PixelFormat {
    public static final int RGBA_8888 = 1;
}
