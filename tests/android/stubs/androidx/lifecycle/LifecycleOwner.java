package androidx.lifecycle;

/** What the sample uses of it. */
public interface LifecycleOwner {}
