# Proves that check_includes.cmake finds what it is for: a tree with one forbidden include of each kind must fail.
# cmake -DROOT=<source folder> -DTMP=<scratch folder> -P check_the_check.cmake
cmake_minimum_required(VERSION 3.24)

function(expect_refusal file text reason)
  file(REMOVE_RECURSE ${TMP})
  file(COPY ${ROOT}/cmake/arrows.cmake DESTINATION ${TMP}/cmake)
  file(WRITE ${TMP}/${file} "${text}\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${TMP} -P ${ROOT}/tests/layering/check_includes.cmake
                  RESULT_VARIABLE rc ERROR_VARIABLE said OUTPUT_QUIET)
  if(rc EQUAL 0)
    message(SEND_ERROR "${file} with '${text}' was let through")
  elseif(NOT said MATCHES "${reason}")
    message(SEND_ERROR "${file} with '${text}' was refused without saying '${reason}': ${said}")
  endif()
endfunction()

expect_refusal(daemon/worker/models/x.cpp "#include \"daemon/worker/adapters/lora.h\"" "not[ \n]+an[ \n]+allowed[ \n]+arrow")
expect_refusal(daemon/front/core/x.h "#include \"daemon/ipc/session/worker_link.h\"" "not[ \n]+an[ \n]+allowed[ \n]+arrow")
expect_refusal(client/cli/x.cpp "#include \"daemon/ipc/protocol/codec.h\"" "not[ \n]+an[ \n]+allowed[ \n]+arrow")
expect_refusal(daemon/front/core/x.cpp "#include <grpcpp/grpcpp.h>" "must[ \n]+not[ \n]+know")
expect_refusal(daemon/worker/formats/x.cpp "#include <ATen/ATen.h>" "must[ \n]+not[ \n]+know")
expect_refusal(daemon/worker/steps/x.cpp "#include \"luna/v1/primitives.grpc.pb.h\"" "not[ \n]+an[ \n]+allowed[ \n]+arrow")
expect_refusal(daemon/worker/engine/x.cpp "#include \"luna/v1/local.pb.h\"" "not[ \n]+an[ \n]+allowed[ \n]+arrow")
expect_refusal(daemon/somewhere/x.cpp "#include <vector>" "no[ \n]+line[ \n]+in")

file(REMOVE_RECURSE ${TMP})
file(COPY ${ROOT}/cmake/arrows.cmake DESTINATION ${TMP}/cmake)
file(WRITE ${TMP}/daemon/worker/models/x.cpp "#include \"daemon/worker/layers/linear.h\"\n#include <vector>\n")
execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${TMP} -P ${ROOT}/tests/layering/check_includes.cmake
                RESULT_VARIABLE rc ERROR_VARIABLE said OUTPUT_QUIET)
if(NOT rc EQUAL 0)
  message(SEND_ERROR "an allowed include was refused: ${said}")
endif()
