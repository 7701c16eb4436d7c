package android.app;

import android.content.Context;
import android.os.Bundle;
import android.view.View;

/** What the sample uses of it. */
public class Activity extends Context {
    public Activity() {
        super(null);
    }

    protected void onCreate(Bundle savedInstanceState) {}

    protected void onSaveInstanceState(Bundle state) {}

    protected void onDestroy() {}

    public void setContentView(int layout) {}

    public <T extends View> T findViewById(int id) {
        return null;
    }

    public boolean isDestroyed() {
        return false;
    }
}
