//! fastembed-rs as its users run it: a CLIP graph of their own, frames and files through its public functions.
//!
//! A camera frame is converted by the crate `yuv` and handed over as an image. `--own-resizer` replaces the resampler of
//! `image` by `fast_image_resize`, which fastembed allows since version 7.

use std::path::{Path, PathBuf};

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use fastembed::{
    ImageEmbedding, ImageInitOptionsUserDefined, ImagePreprocessor, UserDefinedImageEmbeddingModel,
};
use image::{DynamicImage, RgbImage};
use safetensors::SafeTensors;
use worker::{Answer, Arguments, HEIGHT, Peer, Result, WIDTH};
use yuv::{YuvBiPlanarImage, YuvConversionMode, YuvRange, YuvStandardMatrix};

/// OpenAI's transform, as the model's `preprocessor_config.json` states it.
const PREPROCESSOR: &str = r#"{
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": true, "size": {"shortest_edge": 224},
    "do_center_crop": true, "crop_size": 224,
    "do_rescale": true, "rescale_factor": 0.00392156862745098,
    "do_normalize": true,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711]
}"#;

struct FastEmbed {
    model: ImageEmbedding,
    own_resizer: Option<ImagePreprocessor>,
    bank: Bank,
    frames: PathBuf,
    frame: Vec<u8>,
}

fn main() -> Result<()> {
    let arguments = Arguments::from_command_line()?;
    // A graph above 2 GB, or one that its maker split, keeps its weights in a file beside it.
    let folder = arguments.graph.parent().ok_or("--graph names no file")?;
    let options = ImageInitOptionsUserDefined::new()
        .with_intra_threads(arguments.threads)
        .with_session_config("session.intra_op.allow_spinning", "0")
        .with_session_config(
            "session.model_external_initializers_file_folder_path",
            folder.display().to_string(),
        );
    let graph = std::fs::read(&arguments.graph)?;
    let files = UserDefinedImageEmbeddingModel::new(graph, PREPROCESSOR.into());
    let model = ImageEmbedding::try_new_from_user_defined(files, options)?;
    let own_resizer = arguments
        .has("--own-resizer")
        .then(|| model.preprocessor().with_resize(resize));
    let peer = FastEmbed {
        model,
        own_resizer,
        bank: Bank::read(&arguments.bundle.join("labels.safetensors"))?,
        frame: std::fs::read(arguments.frames.join("frame.nv21"))?,
        frames: arguments.frames.clone(),
    };
    worker::serve(&arguments, peer)
}

impl Peer for FastEmbed {
    fn answer(&mut self, case: &str) -> Result<Answer> {
        let embeddings = match (case, &self.own_resizer) {
            ("nv21", None) => self.model.embed_images(vec![rgb(&self.frame)?])?,
            ("nv21", Some(preprocessor)) => {
                let pixel_values = preprocessor.preprocess(rgb(&self.frame)?)?;
                self.model.embed_preprocessed(vec![pixel_values])?
            }
            (file, None) => self.model.embed([self.frames.join(file)], None)?,
            (file, Some(preprocessor)) => {
                let image = image::ImageReader::open(self.frames.join(file))?.decode()?;
                let pixel_values = preprocessor.preprocess(image)?;
                self.model.embed_preprocessed(vec![pixel_values])?
            }
        };
        let embedding = embeddings.first().ok_or("no embedding came back")?;
        Ok(self.bank.nearest(embedding))
    }
}

/// The frame as an image.
fn rgb(nv21: &[u8]) -> Result<DynamicImage> {
    let (luma, chroma) = nv21.split_at((WIDTH * HEIGHT) as usize);
    let frame = YuvBiPlanarImage {
        y_plane: luma,
        y_stride: WIDTH,
        uv_plane: chroma,
        uv_stride: WIDTH,
        width: WIDTH,
        height: HEIGHT,
    };
    let mut pixels = RgbImage::new(WIDTH, HEIGHT);
    yuv::yuv_nv21_to_rgb(
        &frame,
        &mut pixels,
        3 * WIDTH,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
        YuvConversionMode::Balanced,
    )?;
    Ok(pixels.into())
}

fn resize(
    image: DynamicImage,
    width: u32,
    height: u32,
    _: image::imageops::FilterType,
) -> fastembed::Result<DynamicImage> {
    let mut resized = DynamicImage::from(RgbImage::new(width, height));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new()
        .resize(&image, &mut resized, &options)
        .map_err(|error| fastembed::Error::ImageTransform(error.to_string()))?;
    Ok(resized)
}

struct Bank {
    labels: Vec<String>,
    /// One text embedding a label, row by row.
    rows: Vec<f32>,
}

impl Bank {
    fn read(path: &Path) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Label {
            name: String,
        }
        let bytes = std::fs::read(path)?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
        let labels = metadata
            .metadata()
            .as_ref()
            .and_then(|all| all.get("labels"));
        let labels: Vec<Label> = serde_json::from_str(labels.ok_or("the bank names no labels")?)?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        Ok(Self {
            labels: labels.into_iter().map(|label| label.name).collect(),
            rows: bytemuck::pod_collect_to_vec(tensors.tensor("text_embeds")?.data()),
        })
    }

    fn nearest(&self, embedding: &[f32]) -> Answer {
        let cosine = |row: &[f32]| row.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
        let rows = self.rows.chunks_exact(embedding.len()).map(cosine);
        let (label, similarity) = self
            .labels
            .iter()
            .zip(rows)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or((String::new(), f32::NAN), |(name, cosine)| {
                (name.clone(), cosine)
            });
        Answer { label, similarity }
    }
}
