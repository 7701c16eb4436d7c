package androidx.activity.result;

/** What the sample uses of it. */
public interface ActivityResultCallback<O> {
    void onActivityResult(O result);
}
