// Package archive packs the files of a release for people who install it by hand: tar.gz, and zip for Windows.
package archive

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"
)

// File is one file of an archive. All are in a single folder.
type File struct {
	Name string
	Mode int64
	Data []byte
	// SameAs is the name of a file with this content. It stands before this one.
	SameAs string
}

// TarGz writes files in their order, all of root's and of one time. A file that is the same as another becomes a link to it.
func TarGz(out io.Writer, folder string, created time.Time, files []File) error {
	compressed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	w := tar.NewWriter(compressed)
	for _, file := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + file.Name, Mode: file.Mode, Size: int64(len(file.Data)), ModTime: created}
		if file.SameAs != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, file.SameAs, 0
		}
		if err := w.WriteHeader(h); err != nil {
			return fmt.Errorf("pack %s: %w", file.Name, err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(file.Data); err != nil {
				return fmt.Errorf("pack %s: %w", file.Name, err)
			}
		}
	}
	return errors.Join(w.Close(), compressed.Close())
}

// Zip writes files in their order, all of one time. A file that is the same as another is a copy: Windows has links for
// administrators alone.
func Zip(out io.Writer, folder string, created time.Time, files []File) error {
	w := zip.NewWriter(out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	for _, file := range files {
		h := &zip.FileHeader{Name: folder + "/" + file.Name, Method: zip.Deflate, Modified: created}
		part, err := w.CreateHeader(h)
		if err == nil {
			_, err = part.Write(file.Data)
		}
		if err != nil {
			return fmt.Errorf("pack %s: %w", file.Name, err)
		}
	}
	return w.Close()
}
