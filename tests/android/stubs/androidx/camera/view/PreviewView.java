package androidx.camera.view;

import android.content.Context;
import android.view.View;
import androidx.camera.core.Preview;
import androidx.camera.core.ViewPort;

/** What the sample uses of it. */
public final class PreviewView extends View {
    public PreviewView(Context context) {
        super(context);
    }

    public Preview.SurfaceProvider getSurfaceProvider() {
        return null;
    }

    public ViewPort getViewPort() {
        return null;
    }
}
