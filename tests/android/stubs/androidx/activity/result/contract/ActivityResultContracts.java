package androidx.activity.result.contract;

/** What the sample uses of it. */
public final class ActivityResultContracts {
    private ActivityResultContracts() {}

    public static final class RequestPermission extends ActivityResultContract<String, Boolean> {}
}
