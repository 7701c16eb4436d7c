package android.util;

/** Logcat, on stderr. */
public final class Log {
    private Log() {}

    public static int w(String tag, String message, Throwable failure) {
        return print("W", tag, message, failure);
    }

    public static int e(String tag, String message, Throwable failure) {
        return print("E", tag, message, failure);
    }

    private static int print(String level, String tag, String message, Throwable failure) {
        System.err.println(level + "/" + tag + ": " + message + ": " + failure);
        return 0;
    }
}
