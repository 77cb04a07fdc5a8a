"""An object that is written on conditions, through Spark's own client of the store.

The client is the one that commits, so that both use the same credentials, whatever kind they are.
"""

from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from ubspark.catalogs.lease import Leased

__all__ = ["HadoopObject"]

_IF_ABSENT = "fs.option.create.conditional.overwrite"
_IF_TAG = "fs.option.create.conditional.overwrite.etag"
#: What hadoop-aws says where a condition does not hold, and where the object went meanwhile.
_CONFLICTS = ("RemoteFileChangedException", "Status Code: 412", "Status Code: 409")
_GONE = ("java.io.FileNotFoundException", "Status Code: 404")


@dataclass(frozen=True)
class HadoopObject:
    """One object in an S3-compatible store; implements the protocol of leases.

    Attributes
    ----------
    spark
        The session whose client is used.
    uri
        ``s3a://bucket/name``.
    """

    spark: SparkSession
    uri: str

    def read(self) -> Leased | None:
        """Return the object, None where there is none."""
        files, path = self._open()
        try:
            tag = str(files.getFileStatus(path).getETag())
            stream = files.open(path)
            try:
                text = str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
            finally:
                stream.close()
        except Py4JJavaError as error:
            if _says(error, (*_GONE, *_CONFLICTS)):
                return None
            raise
        return Leased(tag, text)

    def write(self, text: str, *, tag: str | None) -> Leased | None:
        """Write where the tag is still this one, or where there is nothing; None if not so."""
        files, path = self._open()
        builder = files.createFile(path)
        builder = builder.must(_IF_ABSENT, True) if tag is None else builder.must(_IF_TAG, tag)
        stream = builder.build()
        stream.write(bytearray(text, "utf-8"))
        try:
            stream.close()
        except Py4JJavaError as error:
            if not _says(error, (*_CONFLICTS, *_GONE)):
                raise
        # The answer tells no tag, and an answer that was lost looks like a conflict. A tag that is
        # read before the text is that of the text.
        found = self.read()
        return found if found is not None and found.text == text else None

    def _open(self) -> tuple[Any, Any]:
        path = self._jvm.org.apache.hadoop.fs.Path(self.uri)
        state: Any = self.spark._jsparkSession.sessionState()
        return path.getFileSystem(state.newHadoopConf()), path

    @property
    def _jvm(self) -> Any:
        return self.spark._jvm


def _says(error: Py4JJavaError, signs: tuple[str, ...]) -> bool:
    text = str(error.java_exception)
    return any(sign in text for sign in signs)
