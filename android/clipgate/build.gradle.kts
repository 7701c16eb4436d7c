import org.jetbrains.kotlin.gradle.dsl.ExplicitApiMode
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "io.clipgate"
    compileSdk = 37

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
            commandLine("bash", root.file("android/build.sh").get().asFile, "--for-devices", libraries.get().asFile)
        }
    }
}

val buildNative = tasks.register<BuildNative>("buildNative") {
    root = layout.projectDirectory.dir("../..")
}

/** The pocket bundle and the cases that `tests/android/run.sh` wrote, as assets of the tests. */
abstract class TestAssets @Inject constructor(private val files: FileSystemOperations) : DefaultTask() {
    @get:InputFiles
    abstract val pocket: ConfigurableFileCollection

    @get:InputFiles
    abstract val cases: ConfigurableFileCollection

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @TaskAction
    fun copy() {
        check(!cases.isEmpty) { "no cases in build/android/cases: bash tests/android/run.sh writes them" }
        files.sync {
            from(pocket) { into("pocket") }
            from(cases) { into("cases") }
            into(assets)
        }
    }
}

val testAssets = tasks.register<TestAssets>("testAssets") {
    pocket.from(
        fileTree("../../models/pocket") {
            include("*.onnx", "*.safetensors", "manifest.json", "calibration.json", "tokenizer.json")
        },
    )
    cases.from(fileTree("../../build/android/cases"))
}

androidComponents.onVariants { variant ->
    variant.sources.jniLibs?.addGeneratedSourceDirectory(buildNative, BuildNative::libraries)
    variant.androidTest?.sources?.assets?.addGeneratedSourceDirectory(testAssets, TestAssets::assets)
}
