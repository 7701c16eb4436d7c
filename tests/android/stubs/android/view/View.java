package android.view;

import android.content.Context;

/** What the sample uses of it. */
public class View {
    public static final int VISIBLE = 0;
    public static final int GONE = 8;

    public View(Context context) {}

    public interface OnClickListener {
        void onClick(View view);
    }

    public void setOnClickListener(OnClickListener listener) {}

    public int getVisibility() {
        return VISIBLE;
    }

    public void setVisibility(int visibility) {}
}
