package android.graphics;

/** What the library uses of it. */
public class ImageFormat {
    public static final int YUV_420_888 = 35;
}
