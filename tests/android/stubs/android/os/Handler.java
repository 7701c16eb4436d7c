package android.os;

/** What the sample uses of it. */
public class Handler {
    public Handler(Looper looper) {}

    public final boolean post(Runnable runnable) {
        return false;
    }

    public final void removeCallbacksAndMessages(Object token) {}
}
