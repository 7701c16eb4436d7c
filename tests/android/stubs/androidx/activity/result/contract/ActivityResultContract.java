package androidx.activity.result.contract;

/** What the sample uses of it. */
public abstract class ActivityResultContract<I, O> {}
