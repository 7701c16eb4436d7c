package android.content;

import android.content.res.AssetManager;

/** What the library uses of it. */
public class Context {
    private final AssetManager assets;

    public Context(AssetManager assets) {
        this.assets = assets;
    }

    public AssetManager getAssets() {
        return assets;
    }
}
