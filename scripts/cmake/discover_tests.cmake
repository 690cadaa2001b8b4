# Runs after a doctest program was linked: lists its cases and writes the add_test commands for ctest.
# Doctest's own script does the same but loses labels.
# Arguments: PROGRAM, TIMEOUT_S, LABELS, SERIAL, OUTPUT.

execute_process(COMMAND "${PROGRAM}" --list-test-cases --no-version
  OUTPUT_VARIABLE listing RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} --list-test-cases failed with ${status}:\n${listing}")
endif()

string(REGEX REPLACE "(=====|\\[doctest\\])[^\n]*\n" "" listing "${listing}")
if(listing MATCHES "[][;]")
  message(FATAL_ERROR "${PROGRAM}: CMake cannot handle brackets or semicolons in a test case's name:\n${listing}")
endif()

set(cost 0)
if(LABELS MATCHES "slow")
  set(cost 50) # begins early, so that nothing waits for it alone in the end
endif()
set(script "")
string(REPLACE "\n" ";" lines "${listing}")
foreach(case IN LISTS lines)
  if(case STREQUAL "")
    continue()
  elseif(NOT case MATCHES "^[a-z0-9_]+\\.")
    message(FATAL_ERROR "${PROGRAM}: the test case \"${case}\" does not start with an area such as \"ring.\"")
  endif()
  string(REPLACE "," "\\," filter "${case}") # a comma would separate two filters
  string(APPEND script "add_test([==[${case}]==] [==[${PROGRAM}]==] [==[--test-case=${filter}]==] --tell-skipped)\n"
    "set_tests_properties([==[${case}]==] PROPERTIES TIMEOUT ${TIMEOUT_S} LABELS [==[${LABELS}]==] COST ${cost}"
    " RUN_SERIAL ${SERIAL} SKIP_RETURN_CODE 77 FAIL_REGULAR_EXPRESSION [==[test cases: +0 ]==])\n")
endforeach()
file(WRITE "${OUTPUT}" "${script}")
