package android.text;

/** What the sample uses of it. */
public interface Editable extends CharSequence {}
