// The KD-tree. `query` takes arguments that Python has checked; `try_query` checks its own.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/dispatch.hpp"
#include "kdtree/kdtree.hpp"
#include "bindings/support/array_view.hpp"
#include "bindings/registers.hpp"
#include "bindings/support/long_call.hpp"

namespace fastinv {

namespace {

// An exact ndarray that kernels can read. Subclasses, such as masked arrays, have other meanings.
bool is_plain(py::handle object) {
  const auto& api = py::detail::npy_api::get();
  if (Py_TYPE(object.ptr()) != reinterpret_cast<PyTypeObject*>(api.PyArray_Type_)) return false;
  constexpr int wanted =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  const auto* array = py::detail::array_proxy(object.ptr());
  return (array->flags & wanted) == wanted;
}

// Only native byte order matches: a swapped type has a descriptor of its own.
bool has_dtype(py::handle array, const py::dtype& dtype) {
  return py::detail::array_proxy(array.ptr())->descr == dtype.ptr();
}

// Whether results of that dtype and shape can be written directly into `out`.
bool can_receive(py::handle out, const py::dtype& dtype, const Py_ssize_t* shape, int ndim) {
  if (!is_plain(out) || !has_dtype(out, dtype)) return false;
  const auto* array = py::detail::array_proxy(out.ptr());
  if (!(array->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) || array->nd != ndim)
    return false;
  return std::equal(shape, shape + ndim, array->dimensions);
}

bool overlap(py::handle a, py::handle b) {
  const auto bytes = [](py::handle h) {
    const auto array = py::reinterpret_borrow<py::array>(h);
    const auto* begin = static_cast<const char*>(array.data());
    return std::pair{begin, begin + array.nbytes()};
  };
  const auto [a_begin, a_end] = bytes(a);
  const auto [b_begin, b_end] = bytes(b);
  const std::less<const char*> before;
  return before(a_begin, b_end) && before(b_begin, a_end);
}

template <class From, class To>
bool copy_finite(const From* from, std::int64_t n, To* to) {
  bool finite = true;
  for (std::int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<To>(from[i]);
    finite &= to[i] - to[i] == 0;
  }
  return finite;
}

py::object new_array(const py::dtype& dtype, const Py_ssize_t* shape, int ndim) {
  const auto& api = py::detail::npy_api::get();
  // The call steals a reference to the descriptor.
  auto array = py::reinterpret_steal<py::object>(api.PyArray_NewFromDescr_(
      reinterpret_cast<PyTypeObject*>(api.PyArray_Type_), py::dtype(dtype).release().ptr(), ndim,
      const_cast<Py_intptr_t*>(shape), nullptr, nullptr, 0, nullptr));
  if (!array) throw py::error_already_set();
  return array;
}

template <class T>
class BoundKDTree {
 public:
  BoundKDTree(const py::array& points, std::int64_t leaf_size, const std::string& isa,
              int n_threads)
      : isa_(isa.empty() ? default_isa() : isa),
        tree_(build(points, leaf_size, isa_, checked_threads(n_threads))) {}

  void query(const py::array& queries, std::int64_t k, const py::array& distances,
             const py::array& indices, int n_threads) const {
    const auto in = in_matrix<T>(queries, "queries", tree_.n_dims());
    const auto out = out_matrix<T>(distances, "distances", in.rows, k);
    const auto found = out_matrix<std::int64_t>(indices, "indices", in.rows, k);
    const int threads = checked_threads(n_threads);
    const LongCall call;
    tree_.query(in.data, in.rows, k, out.data, found.data, threads);
  }

  // The pair (distances, indices) for valid arguments of the usual kind: plain arrays, few queries,
  // an int k. Returns None for wrong or unusual arguments, which are left to the checks in Python.
  // Runs on one thread.
  py::object try_query(py::handle queries, py::handle k, py::handle out) const {
    if (!is_plain(queries) || !PyLong_CheckExact(k.ptr())) return py::none();
    const auto* array = py::detail::array_proxy(queries.ptr());
    const int ndim = array->nd;
    if (ndim < 1 || ndim > 2 || array->dimensions[ndim - 1] != tree_.n_dims()) return py::none();
    const std::int64_t n = ndim == 2 ? array->dimensions[0] : 1;
    int overflow = 0;
    const long long n_neighbors = PyLong_AsLongLongAndOverflow(k.ptr(), &overflow);
    if (overflow || n_neighbors < 1 || n_neighbors > tree_.n_points()) return py::none();
    if (static_cast<double>(n) * (1000.0 + 400.0 * static_cast<double>(n_neighbors)) >= kFewFlops)
      return py::none();

    // Copied, because another thread may write to the array during the search.
    constexpr std::int64_t kOnStack = 64;
    T on_stack[kOnStack];
    std::vector<T> on_heap;
    const std::int64_t size = n * tree_.n_dims();
    T* rows = on_stack;
    if (size > kOnStack) {
      on_heap.resize(static_cast<std::size_t>(size));
      rows = on_heap.data();
    }
    if (!copy_rows(queries, size, rows)) return py::none();

    const Py_ssize_t shape[2] = {ndim == 2 ? n : n_neighbors, n_neighbors};
    py::object results = results_for(out, shape, ndim);
    if (!results) return py::none();
    auto* distances = static_cast<T*>(data_of(PyTuple_GET_ITEM(results.ptr(), 0)));
    auto* indices = static_cast<std::int64_t*>(data_of(PyTuple_GET_ITEM(results.ptr(), 1)));
    {
      const LongCall call;
      tree_.query(rows, n, n_neighbors, distances, indices, 1);
    }
    return results;
  }

  const std::string& isa() const { return isa_; }
  std::int64_t n_points() const { return tree_.n_points(); }
  std::int64_t n_dims() const { return tree_.n_dims(); }

 private:
  // With more work than this, threads pay off and the checks in Python do not matter.
  static constexpr double kFewFlops = 4e6;

  static KDTree<T> build(const py::array& points, std::int64_t leaf_size, const std::string& isa,
                         int n_threads) {
    const auto in = in_matrix<T>(points, "points");
    const Kernels<T>& table = kernels<T>(isa);
    const LongCall call;
    return KDTree<T>(in.data, in.rows, in.cols, leaf_size, table, n_threads);
  }

  static void* data_of(PyObject* array) { return py::detail::array_proxy(array)->data; }

  // Copies queries to the tree's dtype, rounding the other one. False if a query is not finite in
  // that dtype, or has neither dtype.
  bool copy_rows(py::handle queries, std::int64_t size, T* rows) const {
    const void* data = data_of(queries.ptr());
    if (has_dtype(queries, float64_)) {
      return copy_finite(static_cast<const double*>(data), size, rows);
    }
    if (has_dtype(queries, float32_)) {
      return copy_finite(static_cast<const float*>(data), size, rows);
    }
    return false;
  }

  // New arrays if `out` is None, or `out` if it is a pair that fits; else no object.
  py::object results_for(py::handle out, const Py_ssize_t* shape, int ndim) const {
    if (out.is_none()) {
      const py::object distances = new_array(own_, shape, ndim);
      const py::object indices = new_array(int64_, shape, ndim);
      auto pair =
          py::reinterpret_steal<py::object>(PyTuple_Pack(2, distances.ptr(), indices.ptr()));
      if (!pair) throw py::error_already_set();
      return pair;
    }
    if (!PyTuple_CheckExact(out.ptr()) || PyTuple_GET_SIZE(out.ptr()) != 2) return {};
    const py::handle distances = PyTuple_GET_ITEM(out.ptr(), 0);
    const py::handle indices = PyTuple_GET_ITEM(out.ptr(), 1);
    if (!can_receive(distances, own_, shape, ndim) || !can_receive(indices, int64_, shape, ndim) ||
        overlap(distances, indices))
      return {};
    return py::reinterpret_borrow<py::object>(out);
  }

  std::string isa_;
  KDTree<T> tree_;
  py::dtype own_ = py::dtype::of<T>(), int64_ = py::dtype::of<std::int64_t>();
  py::dtype float32_ = py::dtype::of<float>(), float64_ = py::dtype::of<double>();
};

template <class T>
void register_kdtree_of(py::module_& m, const char* name) {
  using Tree = BoundKDTree<T>;
  py::class_<Tree>(m, name)
      .def(py::init<const py::array&, std::int64_t, const std::string&, int>(), py::arg("points"),
           py::arg("leaf_size"), py::arg("isa"), py::arg("n_threads") = 1)
      .def("query", &Tree::query, py::arg("queries"), py::arg("k"), py::arg("distances"),
           py::arg("indices"), py::arg("n_threads"))
      .def("try_query", &Tree::try_query)
      .def_property_readonly("isa", &Tree::isa)
      .def_property_readonly("n_points", &Tree::n_points)
      .def_property_readonly("n_dims", &Tree::n_dims);
}

}  // namespace

void register_kdtree(py::module_& m) {
  register_kdtree_of<float>(m, "KDTreeFloat32");
  register_kdtree_of<double>(m, "KDTreeFloat64");
}

}  // namespace fastinv
