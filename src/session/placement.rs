//! Asks ONNX Runtime which provider each node of a session's graph was given to.

use std::ffi::{CStr, c_char};
use std::ptr;

use ort::AsPointer;
use ort::sys::{OrtEpAssignedNode, OrtEpAssignedSubgraph, OrtStatusPtr};

use crate::error::{Error, Result};
use crate::provider::{PlacedNode, Placement};

/// Makes ONNX Runtime keep what [`read`] asks for.
pub(super) const RECORD: &str = "session.record_ep_graph_assignment_info";

/// The most nodes that are asked for: a CLIP tower has some thousand.
const MAX_NODES: usize = 1 << 20;

/// The placement of a session that was made with [`RECORD`].
pub(super) fn read(session: &ort::session::Session) -> Result<Placement> {
    read_all(session).map_err(|error| {
        Error::machine("ONNX Runtime does not say which provider runs which node")
            .with_source(error)
    })
}

#[expect(
    unsafe_code,
    reason = "`ort` has no safe way to the graph's assignment"
)]
fn read_all(session: &ort::session::Session) -> ort::Result<Placement> {
    let api = ort::api();
    let mut nodes = Vec::new();
    // SAFETY: the functions are those of the table that `ort` checked to be of version 24 or later, where they were
    // added; `session` outlives the calls. By onnxruntime_c_api.h the two lists, their elements and the strings belong
    // to the session and live as long as it, a list's length is what the call wrote beside it, and strings end with
    // NUL; they are copied before this returns. A list that is null is taken for an empty one, and elements that are
    // null are left out.
    unsafe {
        let mut subgraphs: *const *const OrtEpAssignedSubgraph = ptr::null();
        let mut count = 0;
        check((api.Session_GetEpGraphAssignmentInfo)(
            session.ptr(),
            &mut subgraphs,
            &mut count,
        ))?;
        for &subgraph in list(subgraphs, count) {
            if subgraph.is_null() {
                continue;
            }
            let provider = text(|out| (api.EpAssignedSubgraph_GetEpName)(subgraph, out))?;
            let mut members: *const *const OrtEpAssignedNode = ptr::null();
            let mut count = 0;
            check((api.EpAssignedSubgraph_GetNodes)(
                subgraph,
                &mut members,
                &mut count,
            ))?;
            for &node in list(members, count) {
                if node.is_null() || nodes.len() == MAX_NODES {
                    continue;
                }
                let name = text(|out| (api.EpAssignedNode_GetName)(node, out))?;
                let domain = text(|out| (api.EpAssignedNode_GetDomain)(node, out))?;
                let operator = text(|out| (api.EpAssignedNode_GetOperatorType)(node, out))?;
                nodes.push(PlacedNode::new(name, &domain, &operator, &provider));
            }
        }
    }
    Ok(Placement::new(nodes))
}

#[expect(unsafe_code, reason = "takes over the status of a C function")]
fn check(status: OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: every caller hands on what a function of ONNX Runtime has just returned, once.
    unsafe { ort::Error::result_from_status(status) }
}

/// # Safety
/// `start` is null or points to `count` elements that live as long as they are used.
#[expect(unsafe_code, reason = "a C list is read")]
unsafe fn list<'a, T>(start: *const T, count: usize) -> &'a [T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start, count) }
}

/// The string that `ask` writes the place of, or an empty one.
fn text(ask: impl FnOnce(*mut *const c_char) -> OrtStatusPtr) -> ort::Result<String> {
    let mut start: *const c_char = ptr::null();
    check(ask(&mut start))?;
    if start.is_null() {
        return Ok(String::new());
    }
    #[expect(unsafe_code, reason = "a C string is copied")]
    // SAFETY: the function that `ask` calls wrote a string that ends with NUL and lives as long as the session.
    let text = unsafe { CStr::from_ptr(start) };
    Ok(text.to_string_lossy().into_owned())
}
