package android.app;

import android.content.Context;
import android.content.DialogInterface;
import android.view.View;

/** What the sample uses of it. */
public class AlertDialog implements DialogInterface {
    public static class Builder {
        public Builder(Context context) {}

        public Builder setTitle(int title) {
            return this;
        }

        public Builder setView(View view) {
            return this;
        }

        public Builder setNegativeButton(int text, DialogInterface.OnClickListener listener) {
            return this;
        }

        public Builder setPositiveButton(int text, DialogInterface.OnClickListener listener) {
            return this;
        }

        public AlertDialog show() {
            return null;
        }
    }
}
