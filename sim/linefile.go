package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// LineFile is a file to which a line of JSON is appended for each thing that is done, so that whoever ended early goes on from there.
type LineFile struct{ file *os.File }

// OpenLineFile opens such a file, or makes it, and has take see each line that it has. What a process that ended while it wrote has left as
// its last line does not count, and is cut off. If take fails nothing is changed.
func OpenLineFile(name string, take func(line []byte) error) (*LineFile, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	f := &LineFile{file}
	whole, err := readLines(file, take)
	if err == nil {
		err = f.cut(whole)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// readLines has take see each line that is not empty. It returns how many bytes are whole lines.
func readLines(r io.Reader, take func(line []byte) error) (whole int64, err error) {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if err := take(text); err != nil {
				return whole, fmt.Errorf("line %d: %w", n, err)
			}
		}
		whole += int64(len(line))
	}
}

// cut takes away what is no whole line.
func (f *LineFile) cut(size int64) error {
	if err := f.file.Truncate(size); err != nil {
		return err
	}
	_, err := f.file.Seek(size, io.SeekStart)
	return err
}

// Append adds v as a line.
func (f *LineFile) Append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = f.file.Write(append(line, '\n'))
	return err
}

// Close ends the file; what was appended is on its disk then.
func (f *LineFile) Close() error {
	return errors.Join(f.file.Sync(), f.file.Close())
}
