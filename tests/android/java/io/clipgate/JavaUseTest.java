package io.clipgate;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.Test;

/** As an app in Java calls the library. */
public class JavaUseTest {
    private static final File POCKET = new File(System.getProperty("clipgate.pocket"));

    @Test
    public void aFrameIsAnswered() {
        Clipgate.load(System.getProperty("clipgate.onnxruntime"));
        ClassifierOptions options =
                new ClassifierOptions.Builder()
                        .labels(Labels.of("cat", "dog"))
                        .providers(Providers.firstOf(Provider.NNAPI, Provider.CPU))
                        .threads(1)
                        .build();
        ByteBuffer pixels = ByteBuffer.allocateDirect(64 * 48 * 3 / 2);
        for (int i = 0; i < pixels.capacity(); i++) {
            pixels.put(i, (byte) (i * 31 % 251));
        }
        try (Classifier classifier = Classifier.open(POCKET, options)) {
            Classification answer = classifier.classify(pixels, 64, 48, PixelFormat.NV21);
            Decision decision = answer.getDecision();
            if (decision instanceof Decision.Accept) {
                assertTrue(classifier.getLabels().contains(((Decision.Accept) decision).getLabel().getName()));
            } else {
                assertTrue(((Decision.Abstain) decision).getReason().getSentence().length() > 0);
            }
        }
    }

    @Test
    public void aStreamTellsALambda() throws InterruptedException {
        Clipgate.load(System.getProperty("clipgate.onnxruntime"));
        CountDownLatch told = new CountDownLatch(1);
        Frame frame = Frame.packed(ByteBuffer.allocateDirect(12), 2, 2, PixelFormat.RGB).rotated(90);
        try (LiveClassifier live =
                LiveClassifier.start(Classifier.open(POCKET), Runnable::run, answer -> told.countDown())) {
            live.push(frame, 1);
            assertTrue(told.await(20, TimeUnit.SECONDS));
        }
        try (Classifier classifier = Classifier.open(POCKET)) {
            classifier.classify(Frame.packed(ByteBuffer.allocate(12), 2, 2, PixelFormat.RGB));
        } catch (ClipgateException refusal) {
            assertEquals(ErrorCode.CALLER, refusal.getCode());
        }
    }
}
