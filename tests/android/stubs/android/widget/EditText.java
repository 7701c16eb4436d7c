package android.widget;

import android.content.Context;
import android.text.Editable;

/** What the sample uses of it. */
public class EditText extends TextView {
    public EditText(Context context) {
        super(context);
    }

    @Override
    public Editable getText() {
        return null;
    }
}
