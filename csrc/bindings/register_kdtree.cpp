// The KD-tree. Points and queries must be finite, which Python checks.

#include <string>

#include "../core/dispatch.hpp"
#include "../core/kdtree.hpp"
#include "array_view.hpp"
#include "registers.hpp"

namespace fastinv {

namespace {

template <class T>
class BoundKDTree {
 public:
  BoundKDTree(const py::array& points, std::int64_t leaf_size, const std::string& isa)
      : isa_(isa.empty() ? default_isa() : isa), tree_(build(points, leaf_size, isa_)) {}

  void query(const py::array& queries, std::int64_t k, const py::array& distances,
             const py::array& indices, int n_threads) const {
    const auto in = in_matrix<T>(queries, "queries", tree_.n_dims());
    const auto out = out_matrix<T>(distances, "distances", in.rows, k);
    const auto found = out_matrix<std::int64_t>(indices, "indices", in.rows, k);
    const int threads = checked_threads(n_threads);
    const py::gil_scoped_release release;
    tree_.query(in.data, in.rows, k, out.data, found.data, threads);
  }

  const std::string& isa() const { return isa_; }
  std::int64_t n_points() const { return tree_.n_points(); }
  std::int64_t n_dims() const { return tree_.n_dims(); }

 private:
  static KDTree<T> build(const py::array& points, std::int64_t leaf_size, const std::string& isa) {
    const auto in = in_matrix<T>(points, "points");
    const Kernels<T>& table = kernels<T>(isa);
    const py::gil_scoped_release release;
    return KDTree<T>(in.data, in.rows, in.cols, leaf_size, table);
  }

  std::string isa_;
  KDTree<T> tree_;
};

template <class T>
void register_kdtree_of(py::module_& m, const char* name) {
  using Tree = BoundKDTree<T>;
  py::class_<Tree>(m, name)
      .def(py::init<const py::array&, std::int64_t, const std::string&>(), py::arg("points"),
           py::arg("leaf_size"), py::arg("isa"))
      .def("query", &Tree::query, py::arg("queries"), py::arg("k"), py::arg("distances"),
           py::arg("indices"), py::arg("n_threads"))
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
