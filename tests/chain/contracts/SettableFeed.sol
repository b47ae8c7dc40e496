// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A price feed of Chainlink's V3 shape whose answer anyone may set: the oracle of the test chain.
/// Round ids carry a phase in their upper bits, as a Chainlink proxy's do.
contract SettableFeed {
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    struct Round {
        int256 answer;
        uint256 updatedAt;
    }

    uint8 public immutable decimals;
    uint256 public constant version = 4;
    uint16 public constant phaseId = 1;
    string public description;
    uint80 private last;
    mapping(uint80 => Round) private rounds;

    constructor(int256 answer, uint8 decimals_, string memory description_) {
        decimals = decimals_;
        description = description_;
        last = uint80(phaseId) << 64;
        write(answer, block.timestamp);
    }

    function setAnswer(int256 answer) external {
        write(answer, block.timestamp);
    }

    /// Writes a round that claims another age, to rehearse a feed that stopped.
    function setAnswerAt(int256 answer, uint256 updatedAt) external {
        write(answer, updatedAt);
    }

    function aggregator() external view returns (address) {
        return address(this);
    }

    function latestAnswer() external view returns (int256) {
        return rounds[last].answer;
    }

    function latestTimestamp() external view returns (uint256) {
        return rounds[last].updatedAt;
    }

    function latestRound() external view returns (uint256) {
        return last;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(last);
    }

    function getRoundData(uint80 id) public view returns (uint80, int256, uint256, uint256, uint80) {
        Round memory round = rounds[id];
        require(round.updatedAt != 0, "No data present");
        return (id, round.answer, round.updatedAt, round.updatedAt, id);
    }

    function write(int256 answer, uint256 updatedAt) private {
        last += 1;
        rounds[last] = Round(answer, updatedAt);
        emit AnswerUpdated(answer, last, updatedAt);
    }
}
