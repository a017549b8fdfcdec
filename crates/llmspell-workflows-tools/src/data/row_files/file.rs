use std::io::{self, BufWriter, Read, Write};

use cap_std::fs::File;
use tokio_util::sync::CancellationToken;

use super::RowReader;
use crate::data::support::{check_cancelled, invalid, too_large};
use crate::files::NewVersion;
use crate::{Access, Policy, SandboxPath, Services, ToolError};

/// The size of the buffer for writing, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// An input file, read to its end; the policy's `file_bytes_max` limits its size.
pub(crate) struct InputFile {
    file: File,
    path: String,
    left: u64,
    bytes_max: u64,
}

impl InputFile {
    /// Opens a file within the policy's `read_roots`.
    pub(crate) fn open(path: &SandboxPath, policy: &Policy) -> Result<Self, ToolError> {
        let bytes_max = policy.file_bytes_max;
        Ok(Self { file: path.open()?, path: path.path().to_owned(), left: bytes_max, bytes_max })
    }
}

impl Read for InputFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let message =
                format!("`{}` is larger than {} bytes, the limit `file_bytes_max`", self.path, self.bytes_max);
            io::Error::other(file_too_large(message))
        })?;
        Ok(count)
    }
}

/// An output file, written from its start, that replaces an existing file once it is complete.
///
/// A file dropped before it is complete is discarded, so a failed or repeated call never leaves a
/// partial file behind.
pub(crate) struct OutputFile {
    out: BufWriter<File>,
    version: NewVersion,
    target: SandboxPath,
    bytes: u64,
    bytes_max: u64,
}

/// A complete file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrittenFile {
    pub(crate) bytes: u64,
    /// True if the file did not exist before.
    pub(crate) is_new: bool,
}

impl OutputFile {
    /// Starts a file within the policy's `write_roots`, and creates missing parent directories.
    pub(crate) fn create(target: SandboxPath, policy: &Policy) -> Result<Self, ToolError> {
        target.create_parents()?;
        let (version, file) = NewVersion::create(&target)?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { out, version, target, bytes: 0, bytes_max: policy.file_bytes_max })
    }

    /// Returns the path as the caller wrote it.
    pub(crate) fn path(&self) -> &str {
        self.target.path()
    }

    /// Replaces the existing file, unless the call was cancelled.
    pub(crate) fn finish(mut self, token: &CancellationToken) -> Result<WrittenFile, ToolError> {
        self.flush().map_err(|error| tool_error(error, "write", self.target.path()))?;
        check_cancelled(token)?;
        let is_new = self.version.commit(self.out.get_ref())?;
        Ok(WrittenFile { bytes: self.bytes, is_new })
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes).map_err(|error| io::Error::other(self.target.error("write", &error)))?;
        self.bytes += count as u64;
        if self.bytes > self.bytes_max {
            let message =
                format!("`{}` would be larger than {} bytes, the limit `file_bytes_max`", self.path(), self.bytes_max);
            return Err(io::Error::other(file_too_large(message)));
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|error| io::Error::other(self.target.error("write", &error)))
    }
}

/// Returns the tool error that one of these files wrapped in an I/O error; `action` and `path`
/// describe any other I/O error.
pub(crate) fn tool_error(error: io::Error, action: &str, path: &str) -> ToolError {
    match error.downcast::<ToolError>() {
        Ok(error) => error,
        Err(error) => invalid("file_failed", format!("cannot {action} `{path}`: {error}")),
    }
}

fn file_too_large(message: String) -> ToolError {
    too_large("file_too_large", message).with_help("raise `file_bytes_max` in the policy")
}

/// The files of a call, with the parameters that name them.
///
/// All paths are resolved before the first file is opened, so a call with a path outside the roots,
/// or with the same file twice, has no effects.
pub(crate) struct Files<'s> {
    services: &'s Services,
    located: Vec<(&'static str, SandboxPath)>,
}

impl<'s> Files<'s> {
    /// Resolves the paths in `read` and `write`, which are pairs of a parameter's name and its value.
    pub(crate) fn locate(
        services: &'s Services,
        read: &[(&'static str, &[String])],
        write: &[(&'static str, &Option<String>)],
    ) -> Result<Self, ToolError> {
        let mut located: Vec<(&'static str, SandboxPath)> = Vec::new();
        let read = read.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (name, path, Access::Read)));
        let written = write.iter().filter_map(|(name, path)| Some((name, path.as_ref()?, Access::Write)));
        for (name, path, access) in read.chain(written) {
            let path = services.sandbox.locate(path, access)?;
            let same = located.iter().find(|(_, other)| access == Access::Write && path.is_same(other));
            if let Some((other, _)) = same {
                return Err(invalid(
                    "same_file",
                    format!("`{name}` and `{other}` are the same file, `{}`", path.path()),
                )
                .with_help("write to a different file, so that a repeated call reads the same input"));
            }
            located.push((*name, path));
        }
        Ok(Self { services, located })
    }

    /// Reads the rows of all files named by the parameter `name`, one file after the other, if
    /// there are any.
    pub(crate) fn rows<'r>(
        &'r self,
        name: &str,
        token: &'r CancellationToken,
    ) -> Result<Option<RowReader<'r>>, ToolError> {
        let paths = self.located.iter().filter(|(other, _)| *other == name).map(|(_, path)| path);
        RowReader::open(paths.collect(), &self.services.policy, token)
    }

    /// Returns the first path in the parameter `name`, if there is one.
    pub(crate) fn get(&self, name: &str) -> Option<&SandboxPath> {
        self.located.iter().find(|(other, _)| *other == name).map(|(_, path)| path)
    }

    /// Opens a file for reading.
    pub(crate) fn open(&self, path: &SandboxPath) -> Result<InputFile, ToolError> {
        InputFile::open(path, &self.services.policy)
    }

    /// Returns the policy.
    pub(crate) fn policy(&self) -> &Policy {
        &self.services.policy
    }

    /// Starts the file named by the parameter `name`, if there is one.
    pub(crate) fn create(&self, name: &str) -> Result<Option<OutputFile>, ToolError> {
        self.get(name).map(|path| OutputFile::create(path.clone(), &self.services.policy)).transpose()
    }

    /// Starts the file named by the required parameter `name`.
    pub(crate) fn output(&self, name: &'static str) -> Result<OutputFile, ToolError> {
        self.create(name)?.ok_or_else(|| invalid("missing_parameter", format!("`{name}` is required")))
    }
}
