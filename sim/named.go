package sim

import "encoding/json"

// marshalNamed is counts as JSON by their names, without those that are zero.
func marshalNamed[N int | uint64](counts []N, name func(i int) string) ([]byte, error) {
	named := map[string]N{}
	for i, n := range counts {
		if n != 0 {
			named[name(i)] = n
		}
	}
	return json.Marshal(named)
}

// unmarshalNamed reads what marshalNamed wrote into counts. A name that find does not know is an error.
func unmarshalNamed[N int | uint64, I ~uint8](text []byte, counts []N, find func(name string) (I, error)) error {
	var named map[string]N
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	clear(counts)
	for name, n := range named { // order: each has its own place
		i, err := find(name)
		if err != nil {
			return err
		}
		counts[i] = n
	}
	return nil
}
