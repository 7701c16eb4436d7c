import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "io.clipgate.sample"
    compileSdk = 37

    defaultConfig {
        applicationId = "io.clipgate.sample"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        ndk.abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    // ONNX Runtime for Java, which clipgate does not use.
    packaging.jniLibs.excludes += "**/libonnxruntime4j_jni.so"

    // The bundle is used where it lies in the package.
    androidResources.noCompress += listOf("onnx", "ort", "safetensors", "json")

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

kotlin {
    compilerOptions.jvmTarget = JvmTarget.JVM_11
}

dependencies {
    implementation(project(":camera"))
    implementation(libs.activity)
    implementation(libs.camera.camera2)
    implementation(libs.camera.lifecycle)
    implementation(libs.camera.view)
}

/** The pocket bundle, as assets in a directory of its own. */
abstract class BundleAssets : DefaultTask() {
    @get:InputFiles
    abstract val bundle: ConfigurableFileCollection

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @TaskAction
    fun copy() {
        val target = assets.get().dir("pocket").asFile
        target.deleteRecursively()
        bundle.forEach { it.copyTo(target.resolve(it.name)) }
    }
}

val bundleAssets = tasks.register<BundleAssets>("bundleAssets") {
    bundle.from(
        fileTree("../../models/pocket") {
            include("*.onnx", "*.safetensors", "manifest.json", "calibration.json", "tokenizer.json")
        },
    )
}

androidComponents.onVariants { variant ->
    variant.sources.assets?.addGeneratedSourceDirectory(bundleAssets, BundleAssets::assets)
}
