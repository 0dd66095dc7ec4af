// Polish, every solution, and paths of solutions.
#include <memory>

#include "solve/search/search.hpp"
#include "bindings/array_view.hpp"
#include "bindings/models.hpp"
#include "bindings/registers.hpp"
#include "bindings/released_gil.hpp"

namespace fastinv {

namespace {

std::unique_ptr<Search> make_search(const py::array& anchors_x, const py::array& anchors_y,
                                    const py::object& forward, const py::object& jacobian,
                                    const py::array& lower, const py::array& upper,
                                    const py::array& scale, const py::array& periods,
                                    double separation, std::int64_t max_evaluations,
                                    const std::string& isa) {
  const auto x = in_matrix<double>(anchors_x, "anchors_x");
  const auto y = in_matrix<double>(anchors_y, "anchors_y");
  const std::int64_t p = x.cols, q = y.cols;
  if (x.rows != y.rows || x.rows < 1 || p < 1 || q < 1) {
    throw py::value_error("anchors_x and anchors_y must have the same number of rows, at least 1");
  }
  ForwardChoice f = forward_of(forward, p, q, isa);
  if (!f.compiled && !f.learned) throw py::value_error("forward must not be None");
  return std::make_unique<Search>(
      std::vector<double>(x.data, x.data + x.rows * p),
      std::vector<double>(y.data, y.data + y.rows * q), q, f.compiled, address_of(jacobian),
      std::move(f.learned),
      Region(vector_of(lower, "lower", p), vector_of(upper, "upper", p),
             vector_of(scale, "scale", p), vector_of(periods, "periods", p)),
      SearchOptions{separation, max_evaluations});
}

void require_starts(std::int64_t n_starts) {
  if (n_starts < 1) {
    throw py::value_error("n_starts must be at least 1, got " + std::to_string(n_starts));
  }
}

void polish(const Search& self, const py::array& targets, const py::array& x, const py::array& fx,
            const py::array& residual, const py::array& n_evaluations, const py::array& end,
            int n_threads) {
  const auto y = in_matrix<double>(targets, "targets", self.q());
  const PolishArrays arrays{y.data,
                            y.rows,
                            out_matrix<double>(x, "x", y.rows, self.p()).data,
                            out_matrix<double>(fx, "fx", y.rows, self.q()).data,
                            out_vector<double>(residual, "residual", y.rows).data,
                            out_vector<std::int64_t>(n_evaluations, "n_evaluations", y.rows).data,
                            out_vector<std::int8_t>(end, "end", y.rows).data};
  checked_threads(n_threads);
  const ReleasedGil released;
  self.polish(arrays, n_threads);
}

void solve_all(const Search& self, const py::array& targets, std::int64_t k, std::int64_t n_starts,
               double tol, const py::array& x, const py::array& residual, const py::array& anchor,
               const py::array& status, const py::array& count, int n_threads) {
  const auto y = in_matrix<double>(targets, "targets", self.q());
  if (k < 1) throw py::value_error("k must be at least 1, got " + std::to_string(k));
  require_starts(n_starts);
  const SearchArrays arrays{y.data,
                            y.rows,
                            k,
                            n_starts,
                            tol,
                            block<double>(x, "x", y.rows, k, self.p(), true),
                            out_matrix<double>(residual, "residual", y.rows, k).data,
                            out_matrix<std::int64_t>(anchor, "anchor", y.rows, k).data,
                            out_matrix<std::int8_t>(status, "status", y.rows, k).data,
                            out_vector<std::int64_t>(count, "count", y.rows).data};
  checked_threads(n_threads);
  const ReleasedGil released;
  self.solve_all(arrays, n_threads);
}

void solve_path(const Search& self, const py::array& targets, const py::array& start,
                std::int64_t n_starts, double tol, const py::array& x, const py::array& residual,
                const py::array& status, const py::array& jumped) {
  const auto y = in_matrix<double>(targets, "targets", self.q());
  require_starts(n_starts);
  const PathArrays arrays{y.data,
                          y.rows,
                          n_starts,
                          tol,
                          in_vector<double>(start, "start", self.p()).data,
                          out_matrix<double>(x, "x", y.rows, self.p()).data,
                          out_vector<double>(residual, "residual", y.rows).data,
                          out_vector<std::int8_t>(status, "status", y.rows).data,
                          out_vector<std::uint8_t>(jumped, "jumped", y.rows).data};
  const ReleasedGil released;
  self.solve_path(arrays);
}

}  // namespace

void register_search(py::module_& m) {
  py::class_<Search>(m, "Search")
      .def(py::init(&make_search), py::arg("anchors_x"), py::arg("anchors_y"), py::arg("forward"),
           py::arg("jacobian"), py::arg("lower"), py::arg("upper"), py::arg("scale"),
           py::arg("periods"), py::arg("separation"), py::arg("max_evaluations"),
           py::arg("isa"))
      .def("polish", &polish, py::arg("targets"), py::arg("x"), py::arg("fx"), py::arg("residual"),
           py::arg("n_evaluations"), py::arg("end"), py::arg("n_threads"))
      .def("solve_all", &solve_all, py::arg("targets"), py::arg("k"), py::arg("n_starts"),
           py::arg("tol"), py::arg("x"), py::arg("residual"), py::arg("anchor"), py::arg("status"),
           py::arg("count"), py::arg("n_threads"))
      .def("solve_path", &solve_path, py::arg("targets"), py::arg("start"), py::arg("n_starts"),
           py::arg("tol"), py::arg("x"), py::arg("residual"), py::arg("status"), py::arg("jumped"));
}

}  // namespace fastinv
