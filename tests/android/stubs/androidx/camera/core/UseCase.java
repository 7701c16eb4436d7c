package androidx.camera.core;

/** What the sample uses of it. */
public abstract class UseCase {}
