//! What executes a graph, seen from outside: one input tensor, one output tensor, both of a fixed shape.

use std::fmt;

use crate::error::{Error, Result};

/// The most elements a tensor may have: 64 MiB of f32, an RGB image of 2,364 pixels a side.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// The most dimensions a tensor may have.
const MAX_RANK: usize = 8;

/// The most bytes the name of a tensor may have.
const MAX_NAME: usize = 256;

/// The type of a tensor's elements.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// 32-bit IEEE 754: pixels and embeddings.
    F32,
    /// 64-bit signed integers: token ids.
    I64,
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

/// The name, element type and fixed shape of a graph's input or output.
///
/// ```
/// use clipgate::{ElementType, TensorSpec};
///
/// let spec = TensorSpec::new("pixel_values", ElementType::F32, &[1, 3, 224, 224])?;
/// assert_eq!(spec.elements(), 150_528);
/// assert_eq!(spec.to_string(), "pixel_values f32 [1, 3, 224, 224]");
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    name: String,
    element: ElementType,
    shape: Vec<usize>,
}

impl TensorSpec {
    /// A tensor of `shape` whose first dimension varies slowest (row-major).
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle), naming the tensor, if the name is empty, over 256 bytes or
    /// holds a control character, if there are more than 8 dimensions, if one of them is 0, or if there are more than
    /// [`MAX_ELEMENTS`] elements.
    pub fn new(name: &str, element: ElementType, shape: &[usize]) -> Result<Self> {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            let start: String = name.chars().take(32).collect();
            return Err(Error::bundle(format!(
                "tensor {start:?}: a tensor's name has 1 to {MAX_NAME} bytes and no control character"
            )));
        }
        if shape.len() > MAX_RANK {
            return Err(Error::bundle(format!(
                "tensor `{name}` has {} dimensions, more than {MAX_RANK}",
                shape.len()
            )));
        }
        let elements = shape.iter().try_fold(1_usize, |product, &dimension| {
            product.checked_mul(dimension)
        });
        match elements {
            Some(1..=MAX_ELEMENTS) => Ok(Self {
                name: name.to_owned(),
                element,
                shape: shape.to_vec(),
            }),
            Some(0) => Err(Error::bundle(format!(
                "tensor `{name}` of shape {shape:?} is empty"
            ))),
            _ => Err(Error::bundle(format!(
                "tensor `{name}` of shape {shape:?} has more than {MAX_ELEMENTS} elements"
            ))),
        }
    }

    /// The name the graph gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its elements.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Its dimensions, the slowest first; no dimension is 0. A scalar has none.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements it has: 1 to [`MAX_ELEMENTS`].
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.name, self.element, self.shape)
    }
}

/// The buffer a graph reads its input from, row-major, [`TensorSpec::elements`] long.
#[non_exhaustive]
#[derive(Debug)]
pub enum InputMut<'a> {
    /// The input is of [`ElementType::F32`].
    F32(&'a mut [f32]),
    /// The input is of [`ElementType::I64`].
    I64(&'a mut [i64]),
}

/// Executes one graph: write the input in place, run, read the output.
///
/// [`Session`](crate::Session) is the one that runs ONNX graphs. A backend holds its two buffers, so it is used by one
/// thread at a time; it may be moved to another thread between two calls.
///
/// ```
/// use clipgate::{Backend, ElementType, InputMut, Result, TensorSpec};
///
/// struct Doubler {
///     input: TensorSpec,
///     output: TensorSpec,
///     values: [f32; 2],
///     doubled: [f32; 2],
/// }
///
/// impl Backend for Doubler {
///     fn input(&self) -> &TensorSpec {
///         &self.input
///     }
///     fn output(&self) -> &TensorSpec {
///         &self.output
///     }
///     fn input_mut(&mut self) -> InputMut<'_> {
///         InputMut::F32(&mut self.values)
///     }
///     fn run(&mut self) -> Result<&[f32]> {
///         self.doubled = self.values.map(|value| value * 2.0);
///         Ok(&self.doubled)
///     }
/// }
///
/// let mut doubler = Doubler {
///     input: TensorSpec::new("values", ElementType::F32, &[2])?,
///     output: TensorSpec::new("doubled", ElementType::F32, &[2])?,
///     values: [0.0; 2],
///     doubled: [0.0; 2],
/// };
/// if let InputMut::F32(values) = doubler.input_mut() {
///     values.copy_from_slice(&[1.0, 2.5]);
/// }
/// assert_eq!(doubler.run()?, [2.0, 5.0]);
/// # Ok::<(), clipgate::Error>(())
/// ```
pub trait Backend: Send {
    /// What the graph reads.
    fn input(&self) -> &TensorSpec;

    /// What the graph writes; always [`ElementType::F32`].
    fn output(&self) -> &TensorSpec;

    /// The buffer the graph reads. It keeps its content from run to run and is zero at first.
    fn input_mut(&mut self) -> InputMut<'_>;

    /// Runs the graph on the input buffer and lends the output, row-major, as long as [`Self::output`] says.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the graph cannot be executed. That the values make sense
    /// (finite, an embedding) is for the caller to check.
    fn run(&mut self) -> Result<&[f32]>;
}
