import org.jetbrains.kotlin.gradle.dsl.ExplicitApiMode
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "io.clipgate"
    compileSdk = 36

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        testInstrumentationRunner = "io.clipgate.DeviceTestRunner"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    // The tests that the desktop's Java VM runs, too.
    sourceSets.getByName("androidTest") {
        kotlin.directories += listOf("../../tests/android/kotlin", "../../tests/android/java")
        java.directories += "../../tests/android/java"
    }
    androidResources.noCompress += listOf("onnx", "safetensors", "json")
}

kotlin {
    explicitApi = ExplicitApiMode.Strict
    compilerOptions.jvmTarget = JvmTarget.JVM_11
}

dependencies {
    api(libs.coroutines)
    implementation(libs.onnxruntime)
    androidTestImplementation(libs.junit)
    androidTestImplementation(libs.test.runner)
}

/** `libclipgate_jni.so` for three ABIs, with cargo-ndk and the NDK of ANDROID_NDK_HOME. */
abstract class BuildNative @Inject constructor(private val processes: ExecOperations) : DefaultTask() {
    @get:Internal
    abstract val root: DirectoryProperty

    @get:OutputDirectory
    abstract val libraries: DirectoryProperty

    init {
        // Cargo knows better what has changed.
        outputs.upToDateWhen { false }
    }

    @TaskAction
    fun build() {
        processes.exec {
            commandLine("bash", root.file("android/build.sh").get(), libraries.get())
        }
    }
}

val buildNative = tasks.register<BuildNative>("buildNative") {
    root = layout.projectDirectory.dir("../..")
}

/** The pocket bundle and the cases that `tests/android/run.sh` wrote, as assets of the tests. */
val testAssets = tasks.register<Sync>("testAssets") {
    from("../../models/pocket") {
        include("*.onnx", "*.safetensors", "manifest.json", "calibration.json", "tokenizer.json")
        into("pocket")
    }
    from("../../build/android/cases") { into("cases") }
    into(layout.buildDirectory.dir("testAssets"))
}

androidComponents.onVariants { variant ->
    variant.sources.jniLibs?.addGeneratedSourceDirectory(buildNative, BuildNative::libraries)
    variant.androidTest?.sources?.assets?.addStaticSourceDirectory("build/testAssets")
}
tasks.matching { it.name.endsWith("AndroidTestAssets") }.configureEach { dependsOn(testAssets) }
