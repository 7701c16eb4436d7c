package android.graphics;

import java.nio.Buffer;
import java.nio.ByteBuffer;

/**
 * A bitmap whose pixels are four bytes R, G, B, A, whatever its configuration is called. One that no array of Java's can
 * hold has none.
 */
public final class Bitmap {
    public enum Config {
        ALPHA_8,
        RGB_565,
        ARGB_8888,
        HARDWARE
    }

    private static final int BYTES_PER_PIXEL = 4;

    private final int width;
    private final int height;
    private final Config config;
    private final byte[] pixels;
    private volatile boolean isRecycled;

    private Bitmap(int width, int height, Config config, byte[] pixels) {
        this.width = width;
        this.height = height;
        this.config = config;
        this.pixels = pixels;
    }

    public static Bitmap createBitmap(int width, int height, Config config) {
        return new Bitmap(width, height, config, new byte[Math.max(0, width * height * BYTES_PER_PIXEL)]);
    }

    public int getWidth() {
        return width;
    }

    public int getHeight() {
        return height;
    }

    public int getRowBytes() {
        return width * BYTES_PER_PIXEL;
    }

    public Config getConfig() {
        return config;
    }

    public boolean isRecycled() {
        return isRecycled;
    }

    public void recycle() {
        isRecycled = true;
    }

    public Bitmap copy(Config config, boolean isMutable) {
        return this.config == Config.ALPHA_8 ? null : new Bitmap(width, height, config, pixels.clone());
    }

    public void copyPixelsFromBuffer(Buffer source) {
        ((ByteBuffer) source).get(pixels);
    }

    public void copyPixelsToBuffer(Buffer target) {
        if (isRecycled) {
            throw new IllegalStateException("Can't call copyPixelsToBuffer() on a recycled bitmap");
        }
        if (config == Config.HARDWARE) {
            throw new IllegalStateException("unable to copyPixelsToBuffer, HARDWARE bitmap");
        }
        ((ByteBuffer) target).put(pixels);
    }
}
