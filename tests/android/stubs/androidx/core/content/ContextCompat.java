package androidx.core.content;

import android.content.Context;
import java.util.concurrent.Executor;

/** What the sample uses of it. */
public class ContextCompat {
    protected ContextCompat() {}

    public static Executor getMainExecutor(Context context) {
        return Runnable::run;
    }
}
