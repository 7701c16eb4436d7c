package androidx.camera.core;

/** What the sample uses of it. */
public final class UseCaseGroup {
    private UseCaseGroup() {}

    public static final class Builder {
        public Builder addUseCase(UseCase useCase) {
            return this;
        }

        public Builder setViewPort(ViewPort viewPort) {
            return this;
        }

        public UseCaseGroup build() {
            return new UseCaseGroup();
        }
    }
}
