package android.os;

import java.util.ArrayList;

/** What the sample uses of it. */
public final class Bundle {
    public ArrayList<String> getStringArrayList(String key) {
        return null;
    }

    public void putStringArrayList(String key, ArrayList<String> value) {}
}
