package android.content;

import android.content.pm.ApplicationInfo;
import android.content.res.AssetManager;
import java.io.File;

/** What the library and the sample use of it. */
public class Context {
    private final AssetManager assets;

    public Context(AssetManager assets) {
        this.assets = assets;
    }

    public AssetManager getAssets() {
        return assets;
    }

    public File getFilesDir() {
        return null;
    }

    public ApplicationInfo getApplicationInfo() {
        return null;
    }

    public int checkSelfPermission(String permission) {
        return 0;
    }

    public final String getString(int id) {
        return "";
    }

    public final String getString(int id, Object... arguments) {
        return "";
    }
}
