package androidx.activity.result;

/** What the sample uses of it. */
public abstract class ActivityResultLauncher<I> {
    public void launch(I input) {}
}
